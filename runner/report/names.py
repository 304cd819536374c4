"""The metrics' names as people read them."""

NAMES = {
    "auc": "AUC",
    "ks": "KS",
    "accuracy": "accuracy",
    "log_loss": "log-loss",
    "f1": "F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "average_precision": "average precision",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "deviance": "mean deviance",
}

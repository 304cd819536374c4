"""The metrics' names as people read them."""

NAMES = {
    "auc": "AUC",
    "ks": "KS",
    "accuracy": "accuracy",
    "log_loss": "log-loss",
    "f1": "F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "average_precision": "average precision",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "deviance": "mean deviance",
}

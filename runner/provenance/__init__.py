"""What a run leaves behind so that it can be told, compared and run again: its folder, status and manifest."""

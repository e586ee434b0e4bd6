"""Items that were refused: receipts, repair, replay, retention."""

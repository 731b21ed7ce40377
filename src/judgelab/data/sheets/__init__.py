"""Labels in spreadsheets: items to label go out, labels come back as events."""

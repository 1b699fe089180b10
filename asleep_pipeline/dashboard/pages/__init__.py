"""What each page says: HTML of a connection to the published file and of what was chosen."""

"""Columns as they are read: tables and text files; tokens, numbers and dates."""

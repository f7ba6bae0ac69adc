//! What `statements` writes: JSON, its summary, a page to read, and rows for a spreadsheet.









"""Results for people: lines on a terminal, Markdown, and a page with plots."""

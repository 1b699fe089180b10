"""The dashboard: a marimo app over the published file, which it only reads.

| module | does |
|---|---|
| `queries/` | figures from the published file, as frames and values |
| `pages/`, `templates/` | what a page says and shows, as HTML |
| `app.py` | the notebook: filters, and which page is open |
| `server.py`, `guard.py` | serving it to this machine's browsers and to nobody else |
"""

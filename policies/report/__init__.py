"""How an assessment is shown: terminal, Markdown, JSON, SARIF, HTML."""

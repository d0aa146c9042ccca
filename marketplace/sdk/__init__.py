"""One module for each role: author, client, provider, auditor. The CLI and the demo call nothing below it."""

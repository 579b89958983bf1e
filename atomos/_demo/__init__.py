"""The demo that ``python -m atomos`` runs. Nothing else imports it."""

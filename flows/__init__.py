"""Prefect flows: thin shells over `geomon.services`.

A flow takes one request model, fans out tasks that pass keys and return small reports, and
leaves artifacts in the Prefect page. What is done is known by geomon's own ledger, so a flow may
be killed at any moment and run again.
"""

import logging
import os

from geomon.services.processes import prefect_settings

logging.getLogger("geomon").setLevel(logging.INFO)

# Before Prefect is imported, which reads them once; a set variable wins.
for _name, _value in prefect_settings().items():
    os.environ.setdefault(_name, _value)

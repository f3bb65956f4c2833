"""The work behind the acknowledgement: intake -> process -> draft -> deliver, each fed by the journal alone."""

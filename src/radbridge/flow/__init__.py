"""Work that goes on behind the acknowledgement: intake -> process -> draft -> deliver, each fed by the journal alone."""

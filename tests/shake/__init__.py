"""What finds tests that fail now and then: each runs a test so that what is usually quick comes late.

    pytest -p tests.shake.late_test tests/integration/test_delivery.py
    SHAKE_SEED=2 pytest -p tests.shake.late_io tests/integration/test_delivery.py

A failure under either is no proof: look whether a machine could have done the same.
"""

"""Drop-in surfaces of other plug-ins: `-p pytest_mnemosyne.compat.recording` for pytest-recording.

A suite that was written for the other plug-in runs as it did, and turns to this one's
promises file by file.
"""

"""The API process: LipDub's REST contract over a database and an object store. Starts without torch."""

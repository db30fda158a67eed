"""History that comes from elsewhere than an exchange's REST API."""

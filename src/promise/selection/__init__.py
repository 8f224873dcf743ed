"""The race for the best model: candidates, journal, ensemble, leaderboard."""

"""Real processes under seeded blows: replicas, broker, network and Toloka; a checker has the last word."""

"""Who writes the answers: model providers in order, and a local engine that is no language model and says so."""

"""What must hold: checks over the resource graph that say pass, fail, or what they could not see."""

"""What the bot finds around itself: all of it for `nebula-bot doctor`, and in short at each start."""

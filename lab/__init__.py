"""Everything around the scripts: starts brokers and replays the walkthroughs."""

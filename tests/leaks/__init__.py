"""Long runs in processes of their own: what a unit of work leaves behind must level off."""

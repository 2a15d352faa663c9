"""What a steward sees and decides: studies, records, the budget, who withdraws."""

"""ChatModels over a ChatModel, with one concern each: the account's limits, circuit breakers, deadlines, a fallback."""

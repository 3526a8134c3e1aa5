-- ahead: how many questions must end before this one can begin; nothing if it no longer waits.
-- ARGV: WORD
local WORD = ARGV[7]
return ahead(WORD)

-- Each connection thinks for a random while before each request: independent callers, not a closed loop.
local mean_ms

function init(arguments)
  mean_ms = tonumber(arguments[1])
  math.randomseed(1)
end

function delay()
  return math.floor(-mean_ms * math.log(1 - math.random()) + 0.5)
end

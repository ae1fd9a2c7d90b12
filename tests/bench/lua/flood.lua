-- Presents a token whose signature is another one each time, and as long as a real one.
local head, tail, sent = nil, nil, 0

function init(arguments)
  local token = arguments[1]
  head, tail = token:sub(1, -301), token:sub(-290)
  math.randomseed(os.time())
  sent = math.random(0, 1000000000)
end

function request()
  sent = sent + 1
  return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. head .. string.format("%010d", sent) .. tail })
end

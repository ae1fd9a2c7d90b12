-- Presents each token of a file once, and ends when so many were answered.
local tokens, sent, answered = {}, 0, 0
local wanted

function init(arguments)
  for line in io.lines(arguments[1]) do
    tokens[#tokens + 1] = line
  end
  wanted = tonumber(arguments[2])
end

function request()
  sent = sent + 1
  -- The connections run a little ahead of what was answered; the file holds as many more.
  return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. tokens[sent] })
end

function response()
  answered = answered + 1
  if answered == wanted then
    wrk.thread:stop()
  end
end

-- Posts a body of so many bytes.
function init(arguments)
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(arguments[1]))
  wrk.headers["Content-Type"] = "application/octet-stream"
  fixed = wrk.format()
end

function request()
  return fixed
end

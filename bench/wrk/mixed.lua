-- wrk ... -s mixed.lua URL -- FILE POST_PATH BODY_FILE SHARE: of every hundred requests, SHARE post the body, the
-- others get the paths that FILE lists.
local gets, post, share, n = {}, nil, 0, 0

local function read_all(path)
   local file = assert(io.open(path))
   local text = file:read("*a")
   file:close()
   return text
end

function init(args)
   for path in io.lines(args[1]) do
      gets[#gets + 1] = wrk.format("GET", path)
   end
   post = wrk.format("POST", args[2], { ["Content-Type"] = "application/json" }, read_all(args[3]))
   share = tonumber(args[4])
   math.randomseed(1)
end

-- Spread evenly: the posts do not come in bursts.
function request()
   n = (n + share) % 100
   if n < share then
      return post
   end
   return gets[math.random(#gets)]
end

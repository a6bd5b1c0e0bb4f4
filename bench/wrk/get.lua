-- wrk ... -s get.lua URL -- FILE: GET the paths that FILE lists, at random.
local requests = {}

function init(args)
   for path in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format("GET", path)
   end
   math.randomseed(1)
end

function request()
   return requests[math.random(#requests)]
end

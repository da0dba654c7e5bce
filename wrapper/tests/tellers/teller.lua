print("ready")
io.stdout:flush()
for _ in io.lines() do
  local value, sum = os.getenv("PASSWORD"), 0
  for i = 1, #value do sum = sum + i * value:byte(i) end
  print(sum % 65521)
  io.stdout:flush()
end

$stdout.sync = true
puts "ready"
STDIN.each_line do
  sum = 0
  ENV["PASSWORD"].each_byte.with_index(1) { |byte, place| sum += byte * place }
  puts sum % 65521
end

echo ready
while read -r _; do
  sum=0 place=1 rest=$PASSWORD
  while [ -n "$rest" ]; do
    tail=${rest#?}
    byte=$(printf %d "'${rest%"$tail"}")
    sum=$(((sum + place * byte) % 65521)) place=$((place + 1)) rest=$tail
  done
  echo $sum
done

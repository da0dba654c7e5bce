#!/bin/busybox sh
# The first program of the machine: sets it up, and then does what the test says on the other side of a serial port.
export PATH=/bin
busybox mkdir -p /dev /proc /sys /run /tmp /bin
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t securityfs securityfs /sys/kernel/security
busybox --install -s /bin
mount -t tmpfs run /run
mkdir -p /run/cloudtaser
for module in /lib/modules/*; do insmod "$module"; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
exec 0<>/dev/hvc0 1>&0
stty raw -echo
echo ready
while read -r line; do
  echo "$line" | base64 -d > /run/.command
  sh /run/.command < /dev/null > /run/.output 2>&1
  code=$?
  echo "$code $(base64 -w0 /run/.output)"
done
poweroff -f

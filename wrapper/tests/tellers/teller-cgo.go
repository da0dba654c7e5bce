package main

// #include <stdlib.h>
import "C"

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	C.abs(1)
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		value := os.Getenv("PASSWORD")
		sum := 0
		for i := 0; i < len(value); i++ {
			sum = (sum + (i+1)*int(value[i])) % 65521
		}
		fmt.Println(sum)
	}
}

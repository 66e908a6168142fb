// Probe reports what a module can see of the world outside.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"time"
)

func main() {
	fmt.Printf("args %q\n", os.Args)
	fmt.Printf("env %q\n", os.Environ())
	for _, path := range []string{"/", ".", "/etc/passwd", "/proc/self/environ"} {
		_, err := os.Open(path)
		fmt.Printf("open %s: %v\n", path, err != nil)
	}
	fmt.Printf("create: %v\n", os.WriteFile("left-behind", nil, 0o600) != nil)
	fmt.Printf("clock %d\n", time.Now().UnixNano())
	time.Sleep(time.Minute) // takes no time
	fmt.Printf("clock %d\n", time.Now().UnixNano())
	random := make([]byte, 16)
	rand.Read(random)
	fmt.Printf("random %x\n", random)
	for k := range map[int]int{1: 1, 2: 2, 3: 3, 4: 4} {
		fmt.Printf("map %d\n", k)
	}
}

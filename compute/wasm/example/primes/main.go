//go:build wasip1

// Primes is an example of a task that divides itself: it puts out how many primes
// there are from its first number to before its second. Ranges that would take long
// are halved, and the halves are tasks that run wherever a peer is idle.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o primes.wasm ./compute/wasm/example/primes
//	peer submit primes.wasm --input "0 1000000"
package main

import (
	"strconv"
	"strings"

	"github.com/chorus-net/chorus/compute/wasm/task"
)

const grain = 20000 // numbers that one task looks at itself

//go:wasmexport handle
func handle() int32 {
	if parts := task.Parts(); len(parts) > 0 {
		return join(parts)
	}
	first, second, _ := strings.Cut(string(task.Input()), " ")
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil || from < 0 || to < from {
		task.Log("want two numbers, such as 0 1000000")
		return 1
	}
	if to-from > grain {
		middle := from + (to-from)/2
		task.Spawn([]byte(strconv.Itoa(from) + " " + strconv.Itoa(middle)))
		task.Spawn([]byte(strconv.Itoa(middle) + " " + strconv.Itoa(to)))
		return 0
	}
	count := 0
	for n := max(from, 2); n < to; n++ {
		if isPrime(n) {
			count++
		}
	}
	task.Output([]byte(strconv.Itoa(count)))
	return 0
}

func join(parts [][]byte) int32 {
	sum := 0
	for _, p := range parts {
		n, err := strconv.Atoi(string(p))
		if err != nil {
			task.Log(err.Error())
			return 1
		}
		sum += n
	}
	task.Output([]byte(strconv.Itoa(sum)))
	return 0
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

func main() {}

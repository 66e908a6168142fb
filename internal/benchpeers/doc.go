// Command benchpeers measures Chorus beside what people use today, in one run
// on one machine, and prints the ratios: absolute figures differ by machine and
// by the hour.
//
//	make bench-peers
//	go run . --rounds 5 --only floor,chorus
//	go run . --only chorus --callers 64 --profile /tmp
//	go run . --draws 30
//
// Three peers each keep values of 100 bytes: etcd, NATS JetStream's key-value
// store with every write synced, Chorus, and the floor, which is the least that a
// put to two of three synced disks can be (floor.go). Chorus is measured again while one of
// its peers catches up with what it missed, beside the same ring when it has, and with large values beside an echo, which is
// what the transport can carry there and back (echo.go). Chorus and kad-dht meet
// with twenty peers, where kad-dht keeps its values in memory and acknowledges
// nothing. All peers of a system and its callers share a process, which takes
// turns with those of the others; figures are medians over the rounds. The last
// column is the processor time that an operation took over all peers, which says
// something on a busy machine, too.
//
// With --draws it spreads tasks of uneven length instead: over goroutines that share a channel,
// over a work queue and a queue group of NATS, and over two peers of Chorus, in turns.
//
// It is a module of its own, so that the product carries none of these.
package main

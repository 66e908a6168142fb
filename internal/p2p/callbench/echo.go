package callbench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
)

// An operation is one round trip of one caller.
type operation func(payload []byte) error

// lone returns the operation of a single caller that writes its frame and reads
// it back by itself: nothing can be faster over this stream.
func lone(s io.ReadWriter) operation {
	in := bufio.NewReaderSize(s, 64<<10)
	var out, back []byte
	return func(payload []byte) error {
		out = appendFrame(out[:0], 0, payload)
		if _, err := s.Write(out); err != nil {
			return fmt.Errorf("write frame: %w", err)
		}
		back = append(back[:0], out...)
		if _, err := io.ReadFull(in, back); err != nil {
			return fmt.Errorf("read frame: %w", err)
		}
		return nil
	}
}

func appendFrame(b []byte, tag int, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(tag))
	return append(b, payload...)
}

// pipelined returns the operations of n callers that share a stream: one
// goroutine writes what they queue, many frames at a time, one reads and wakes
// them. It has no IDs, deadlines, limits or errors to care for. The goroutines
// end with the stream.
func pipelined(s io.ReadWriter, n int) []operation {
	queue := make(chan []byte, n)
	failed := make(chan struct{})
	woken := make([]chan struct{}, n)
	ops := make([]operation, n)
	for i := range n {
		woken[i] = make(chan struct{}, 1)
		var out []byte
		ops[i] = func(payload []byte) error {
			out = appendFrame(out[:0], i, payload)
			select {
			case queue <- out:
			case <-failed:
				return io.ErrClosedPipe
			}
			select {
			case <-woken[i]:
				return nil
			case <-failed:
				return io.ErrClosedPipe
			}
		}
	}
	go writeFrames(s, queue, failed)
	go readFrames(s, woken, failed)
	return ops
}

func writeFrames(w io.Writer, queue <-chan []byte, failed <-chan struct{}) {
	out := bufio.NewWriterSize(w, 64<<10)
	for {
		var frame []byte
		select {
		case frame = <-queue:
		case <-failed:
			return
		}
		if len(frame) < 1<<10 {
			runtime.Gosched() // small frames: let the other callers queue theirs
		}
		for more := true; more; {
			if _, err := out.Write(frame); err != nil {
				return
			}
			select {
			case frame = <-queue:
			default:
				more = false
			}
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
}

func readFrames(r io.Reader, woken []chan struct{}, failed chan<- struct{}) {
	defer close(failed)
	in := bufio.NewReaderSize(r, 64<<10)
	frame := make([]byte, frameHeader+maxSize)
	for {
		if _, err := io.ReadFull(in, frame[:frameHeader]); err != nil {
			return
		}
		n, tag := binary.BigEndian.Uint32(frame), binary.BigEndian.Uint32(frame[4:])
		if n > maxSize || int(tag) >= len(woken) {
			return
		}
		if _, err := io.ReadFull(in, frame[:n]); err != nil {
			return
		}
		woken[tag] <- struct{}{}
	}
}

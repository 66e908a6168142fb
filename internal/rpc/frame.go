package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// A frame is
//
//	length  uint32, big-endian: the bytes that follow
//	format  one byte
//	...     what the format says
//
// formatHello: a pb.Hello to the end of the frame; the first frame in each
// direction, and only that. formatCall: one byte of header length, a
// pb.Envelope of that length, and the payload to the end of the frame.
const (
	formatHello byte = 0
	formatCall  byte = 1

	lengthBytes = 4
	maxEnvelope = 255 // what one byte of header length can say
	maxHello    = 16 << 10
)

// errFrame is wrapped by all errors about bytes that are no frame.
var errFrame = errors.New("malformed frame")

// appendFrame appends a frame of format formatCall to b.
func appendFrame(b []byte, env *pb.Envelope, payload []byte) []byte {
	h := env.SizeVT()
	b = slices.Grow(b, frameOverhead+h+len(payload))
	b = binary.BigEndian.AppendUint32(b, uint32(2+h+len(payload)))
	b = append(b, formatCall, byte(h))
	b = b[:len(b)+h]
	// The buffer has the size that SizeVT asked for, the one way to fail.
	_, _ = env.MarshalToSizedBufferVT(b[len(b)-h:])
	return append(b, payload...)
}

// frameOverhead is what a frame of format formatCall adds to its envelope and
// payload.
const frameOverhead = lengthBytes + 2

// appendHello appends a hello frame to b.
func appendHello(b []byte, h *pb.Hello) []byte {
	n := h.SizeVT()
	b = slices.Grow(b, lengthBytes+1+n)
	b = binary.BigEndian.AppendUint32(b, uint32(1+n))
	b = append(b, formatHello)
	b = b[:len(b)+n]
	_, _ = h.MarshalToSizedBufferVT(b[len(b)-n:])
	return b
}

// parseFrame reads the body of a frame, the bytes after its length, of format
// formatCall. The envelope and the payload alias it.
func parseFrame(body []byte, env *pb.Envelope) (payload []byte, err error) {
	if len(body) < 2 || body[0] != formatCall {
		return nil, fmt.Errorf("%w: not a call", errFrame)
	}
	h := int(body[1])
	if len(body) < 2+h {
		return nil, fmt.Errorf("%w: envelope of %d bytes in %d", errFrame, h, len(body))
	}
	env.Reset()
	if err := env.UnmarshalVTUnsafe(body[2 : 2+h]); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if n := len(env.Trace); n != 0 && n != len(Header{}.Trace) {
		return nil, fmt.Errorf("%w: trace of %d bytes", errFrame, n)
	}
	return body[2+h:], nil
}

// parseHello reads the body of a hello frame. The hello aliases it.
func parseHello(body []byte) (*pb.Hello, error) {
	if len(body) < 1 || body[0] != formatHello {
		return nil, fmt.Errorf("%w: no hello", errFrame)
	}
	if len(body) > maxHello {
		return nil, fmt.Errorf("%w: hello of %d bytes", errFrame, len(body))
	}
	h := new(pb.Hello)
	if err := h.UnmarshalVTUnsafe(body[1:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return h, nil
}

// frameReader cuts a stream into frames. Small frames are handed out in place,
// large ones in memory of their own. Its buffer is small unless there is much
// to read, so that thousands of idle connections cost little.
type frameReader struct {
	r   io.Reader
	max int
	// idle is called before a read that may block.
	idle func()
	// hurry is called when a frame has come in part, with its size or 0 while that is
	// unknown. Nil: nobody cares.
	hurry   func(n int)
	partial bool // a frame has come in part, and hurry knows
	size    int  // what hurry was called with for it

	buf        []byte
	start, end int     // the bytes of buf not handed out yet
	small      []byte  // buf, unless that is large
	large      *[]byte // a chunk that buf uses; nil: buf is small
	last       int     // the size of the last read
}

const (
	smallBuffer = 2 << 10
	largeBuffer = chunkSize
	// keepLarge is the size of a read after which the next one gets the large
	// buffer, too.
	keepLarge = largeBuffer / 4
)

func newFrameReader(r io.Reader, max int, idle func()) *frameReader {
	small := make([]byte, smallBuffer)
	return &frameReader{r: r, max: max, idle: idle, buf: small, small: small}
}

// next returns the body of the next frame. Unless owned, it is valid until the
// following call.
func (f *frameReader) next() (body []byte, owned bool, err error) {
	f.partial = false
	if err := f.fill(lengthBytes, false); err != nil {
		if f.start != f.end {
			err = midFrame(err)
		}
		return nil, false, err
	}
	n := int(binary.BigEndian.Uint32(f.buf[f.start:]))
	if n < 1 || n > f.max {
		return nil, false, fmt.Errorf("%w: %d bytes, bound is %d", errFrame, n, f.max)
	}
	f.start += lengthBytes
	if n > largeBuffer/2 {
		body, err = f.alone(n)
		return body, true, err
	}
	if err := f.fill(n, true); err != nil {
		return nil, false, midFrame(err)
	}
	body = f.buf[f.start : f.start+n : f.start+n]
	f.start += n
	return body, false, nil
}

// begin tells that a frame has come in part.
func (f *frameReader) begin(n int) {
	if f.hurry != nil && (!f.partial || n > f.size) {
		f.partial, f.size = true, n
		f.hurry(n)
	}
}

// fill reads until n bytes lie in the buffer, n being at most half of the large
// buffer. They are the body of a frame, or its length.
func (f *frameReader) fill(n int, body bool) error {
	if f.end-f.start >= n {
		return nil
	}
	if f.start == f.end {
		f.start, f.end = 0, 0
		f.shrink()
	}
	if f.start+n > len(f.buf) {
		f.makeRoom(n)
	}
	for f.end-f.start < n {
		switch {
		case body:
			f.begin(n)
		case f.start != f.end:
			f.begin(0)
		}
		f.idle()
		got, err := f.r.Read(f.buf[f.end:])
		f.end += got
		f.last = got
		if err != nil && f.end-f.start < n {
			return err
		}
		if f.large == nil && f.end == len(f.buf) {
			f.makeRoom(len(f.buf) + 1)
		}
	}
	return nil
}

// makeRoom moves what is in the buffer to the front of one that holds n bytes.
func (f *frameReader) makeRoom(n int) {
	to := f.buf
	if n > len(to) {
		f.large = getChunk(0)
		to = (*f.large)[:largeBuffer]
	}
	f.end = copy(to, f.buf[f.start:f.end])
	f.start, f.buf = 0, to
}

// shrink gives the large buffer back, if the last read did not need it. The
// buffer is empty.
func (f *frameReader) shrink() {
	if f.large != nil && f.last < keepLarge {
		putChunk(f.large)
		f.large, f.buf = nil, f.small
	}
}

// alone reads a body of n bytes into memory of its own, which grows with what has come: a
// length alone costs nothing.
func (f *frameReader) alone(n int) ([]byte, error) {
	body := make([]byte, min(n, max(firstAlone, f.end-f.start)))
	have := copy(body, f.buf[f.start:f.end])
	f.start += have
	for have < n {
		f.begin(n)
		if have == len(body) {
			longer := make([]byte, min(n, 4*len(body)))
			copy(longer, body)
			body = longer
		}
		f.idle()
		got, err := io.ReadFull(f.r, body[have:])
		if have += got; err != nil {
			return nil, midFrame(err)
		}
	}
	return body[:n], nil
}

// firstAlone is what a large frame gets before any of it has come.
const firstAlone = 64 << 10

// midFrame tells the end of a stream inside of a frame from one between frames.
func midFrame(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case timedOut(err):
		return fmt.Errorf("a frame comes too slowly: %w", err)
	}
	return err
}

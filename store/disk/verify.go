package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Neither Badger can be trusted with damaged files. One stops the process when a
// block of a table fails its checksum while it opens, and calls the keys of the
// block missing when it fails later; the other leaves out a damaged table and
// goes on. Both take a damaged spot in their log for its end. So the files are
// verified here before an engine sees them, and the engines' own checks are off;
// what breaks while a store is open fails the records' checksums.

const rotten = "put the folder aside: an empty store is filled from the other replicas"

// verifyTables checks every table of dir that check is told of, by number.
func verifyTables(dir string, ids []uint64, check func(id uint64, data []byte) error) error {
	for _, id := range ids {
		path := filepath.Join(dir, fmt.Sprintf("%06d.sst", id))
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%w: %w: %s", ErrCorrupt, err, rotten)
		}
		if err := guard(func() error { return check(id, data) }); err != nil {
			return fmt.Errorf("%w: table %s: %w: %s", ErrCorrupt, path, err, rotten)
		}
	}
	return nil
}

// guard makes an error of a panic in foreign code that meets damaged bytes.
func guard(check func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("malformed")
		}
	}()
	return check()
}

// newest returns the file of dir whose name is the last that matches, or "".
func newest(dir, pattern string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		return "", err
	}
	return slices.Max(files), nil
}

// logHead reads the header of an entry in a Badger log: its own length and that
// of key and value. It returns n = 0 for what cannot be one.
type logHead func(b []byte) (n int, key, value uint64, meta byte)

const (
	finBit  = 1 << 7 // meta: the last entry of a transaction
	maxKey  = 65000  // of both Badgers
	maxItem = 2 << 20
)

// verifyLog tells a torn tail from damage. A log ends in the middle of the last
// transaction when a process was killed, and that one was not acknowledged. If
// entries of later transactions follow a bad spot, then what is bad was synced
// once, and replaying would lose it and all that follows. Transactions up to flushed are
// in tables: the log of those is removed, of which a loss of power may leave pieces.
func verifyLog(path string, skip int, flushed uint64, head logHead) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data = bytes.TrimRight(data, "\x00") // files are longer than what is in them
	at, torn := skip, uint64(0)          // torn is the transaction that may be incomplete
	for at < len(data) {
		ts, end, fin, ok := logEntry(data, at, head)
		if !ok {
			break
		}
		if at, torn = end, ts; fin {
			torn++
		}
	}
	for i := at + 1; i < len(data); i++ {
		ts, _, _, ok := logEntry(data, i, head)
		if ok && torn == 0 {
			torn = ts // it is the first of the log
		}
		if ok && ts > max(torn, flushed) {
			return fmt.Errorf("%w: log %s is damaged at byte %d of %d: %s", ErrCorrupt, path, at, len(data), rotten)
		}
	}
	return nil
}

// logVersions returns the first and the last transaction of a log, as far as it can be
// read: 0 and 0 for an empty one.
func logVersions(path string, skip int, head logHead) (first, last uint64, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	for at := skip; at < len(data); {
		ts, end, _, ok := logEntry(data, at, head)
		if !ok {
			break
		}
		if first == 0 {
			first = ts
		}
		last, at = max(last, ts), end
	}
	return first, last, nil
}

// logEntry reads the entry at a byte of a log: header, key with a time stamp
// behind it, value, CRC-32C.
func logEntry(data []byte, at int, head logHead) (ts uint64, end int, fin, ok bool) {
	n, key, value, meta := head(data[at:])
	if n == 0 || key <= 8 || key > maxKey || value > maxItem || uint64(len(data)-at-n) < key+value {
		return 0, 0, false, false
	}
	name := data[at+n:][:key]
	if name[0] != '/' && name[0] != '!' { // ours, and Badger's own
		return 0, 0, false, false
	}
	end = at + n + int(key+value)
	sum := make([]byte, crc32.Size) // whose zeros at the end of the file may be trimmed
	copy(sum, data[end:])
	if crc32.Checksum(data[at:end], castagnoli) != binary.BigEndian.Uint32(sum) {
		return 0, 0, false, false
	}
	ts = math.MaxUint64 - binary.BigEndian.Uint64(name[key-8:])
	return ts, min(end+crc32.Size, len(data)), meta&finBit != 0, true
}

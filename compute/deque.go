package compute

// deque is a ring buffer of queued tasks. A task that leaves from the middle
// stays as a dead entry until it comes to an end, or until dead entries are
// the majority; both ends are always live.
type deque struct {
	buf  []entry
	head int
	len  int
}

// entry is one place in a deque. It is live while the task still waits at
// that position.
type entry struct {
	held *held
	pos  int64
}

func (e entry) live() bool {
	return e.held.state == heldQueued && e.held.pos == e.pos && !e.held.shelved
}

func (d *deque) at(i int) entry { return d.buf[(d.head+i)&(len(d.buf)-1)] }

func (d *deque) front() entry { return d.at(0) }

func (d *deque) pushFront(h *held) {
	d.grow()
	d.head = (d.head - 1) & (len(d.buf) - 1)
	d.buf[d.head] = entry{h, h.pos}
	d.len++
}

func (d *deque) pushBack(h *held) {
	d.grow()
	d.buf[(d.head+d.len)&(len(d.buf)-1)] = entry{h, h.pos}
	d.len++
}

func (d *deque) grow() {
	if d.len == len(d.buf) {
		d.resize(max(8, 2*len(d.buf)))
	}
}

// trim drops dead entries after a removal; n is the number of live ones left.
func (d *deque) trim(n int) {
	for d.len > 0 && !d.at(0).live() {
		d.buf[d.head] = entry{}
		d.head = (d.head + 1) & (len(d.buf) - 1)
		d.len--
	}
	for d.len > 0 && !d.at(d.len-1).live() {
		d.buf[(d.head+d.len-1)&(len(d.buf)-1)] = entry{}
		d.len--
	}
	if d.len > 2*n+64 {
		d.compact()
	}
	if len(d.buf) > 1024 && d.len < len(d.buf)/4 {
		d.resize(len(d.buf) / 2)
	}
}

func (d *deque) compact() {
	live := 0
	for i := range d.len {
		if e := d.at(i); e.live() {
			d.buf[(d.head+live)&(len(d.buf)-1)] = e
			live++
		}
	}
	for i := live; i < d.len; i++ {
		d.buf[(d.head+i)&(len(d.buf)-1)] = entry{}
	}
	d.len = live
}

// resize moves the entries to a buffer of the given size, a power of two.
func (d *deque) resize(size int) {
	buf := make([]entry, size)
	for i := range d.len {
		buf[i] = d.at(i)
	}
	d.buf, d.head = buf, 0
}

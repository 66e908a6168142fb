package compute

import "strconv"

// bytesOf writes a number of bytes for people: "512 KiB".
func bytesOf[T ~int | ~int64](n T) string {
	units := [...]string{" bytes", " KiB", " MiB", " GiB", " TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	return strconv.FormatFloat(v, 'f', min(i, 1), 64) + units[i]
}

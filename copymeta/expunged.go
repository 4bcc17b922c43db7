package copymeta

import "slices"

// maxShifts bounds the work of allExpunged, where a backend expunges in an unusual order.
const maxShifts = 1 << 24

// allExpunged tells whether all messages are among those that an EXPUNGE has told of, in its order.
// It may tell of others too, which somebody else has expunged. False means that they may not be.
func allExpunged(messages []message, expunged []uint32) bool {
	left := seqNumsOf(messages) // as they would be without the ones before them
	if len(expunged) < len(left) {
		return false
	}
	before, shifts := uint32(0), 0 // how many were before all that are left
	for _, seqNum := range expunged {
		i, found := slices.BinarySearch(left, seqNum+before)
		switch {
		case i == 0 && found:
			left = left[1:]
			before++
			continue
		case i == 0:
			before++
			continue
		case found:
			left = slices.Delete(left, i, i+1)
		}
		if shifts += len(left) - i; shifts > maxShifts {
			return false
		}
		for ; i < len(left); i++ {
			left[i]--
		}
	}
	return len(left) == 0
}

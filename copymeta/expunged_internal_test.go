package copymeta

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAllAreAmongTheExpunged(t *testing.T) {
	for _, test := range []struct {
		there, expunged []uint32
		want            bool
	}{
		{nil, nil, true},
		{[]uint32{1}, []uint32{1}, true},
		{[]uint32{1}, []uint32{2}, false},
		{[]uint32{2}, []uint32{1}, false},
		{[]uint32{2}, []uint32{1, 1}, true},
		{[]uint32{1, 2, 3}, []uint32{1, 1, 1}, true},
		{[]uint32{1, 2, 3}, []uint32{3, 2, 1}, true},
		{[]uint32{1, 2, 3}, []uint32{2, 1, 1}, true},
		{[]uint32{1, 2, 3}, []uint32{1, 2, 1}, true},
		{[]uint32{1, 2, 3}, []uint32{1, 1}, false},
		{[]uint32{1, 3, 5}, []uint32{1, 2, 3}, true},
		{[]uint32{1, 3, 5}, []uint32{1, 1, 1}, false},
		{[]uint32{1, 3, 5}, []uint32{4, 3, 1, 2}, true},
		{[]uint32{0, 3}, []uint32{3, 1}, false}, // the number of one is not known
	} {
		var there []message
		for _, seqNum := range test.there {
			there = append(there, message{seqNum: seqNum})
		}
		assert.Equal(t, test.want, allExpunged(there, test.expunged), "%v", test)
	}
}

// A backend may tell of a great many messages in any order.
func TestManyExpungedMessagesTakeNoLongTime(t *testing.T) {
	const n = 200_000
	there := make([]message, n)
	up, down := make([]uint32, n), make([]uint32, n)
	for i := range there {
		there[i].seqNum, up[i], down[i] = uint32(i+1), 1, uint32(n-i)
	}
	assert.True(t, allExpunged(there, up))
	assert.True(t, allExpunged(there, down))
	middle := slices.Repeat([]uint32{n / 2}, n/2)
	assert.False(t, allExpunged(there, middle), "it is looked up")
}

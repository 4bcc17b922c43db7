package limits

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A number or a time of the options without a declaration would not be checked, shown or counted.
func TestEveryNumberAmongTheOptionsIsDeclaredOnce(t *testing.T) {
	byName := make(map[string]*limit)
	var order []string
	for _, l := range declared {
		require.Nil(t, byName[l.option], "%s is declared twice", l.option)
		byName[l.option] = l
		order = append(order, l.option)
		assert.NotEmpty(t, l.help, l.option)
	}
	var fields []string
	options := reflect.TypeFor[Options]()
	for field := range options.Fields() {
		switch field := field; field.Type {
		case reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[time.Duration]():
			fields = append(fields, field.Name)
		}
	}
	assert.Equal(t, fields, order, "all of them, in the order of Options")
}

// A limit is reported and counted exactly if it has an answer.
func TestEveryAnswerHasItsEventAndItsCount(t *testing.T) {
	var stats Stats
	answers := make(map[*uint64]string)
	for _, l := range append(declared, limiterClosed, clusterUnavailable, clientGone) {
		if l.answer == nil {
			continue
		}
		assert.NotZero(t, l.kind, l.option)
		require.NotNil(t, l.count, l.option)
		text := l.answer.Error()
		if other := answers[l.count(&stats)]; other != "" {
			assert.Equal(t, other, text, "%s is counted with another answer", l.option)
		}
		answers[l.count(&stats)] = text
	}
	for _, l := range declared {
		if l.count != nil {
			*l.count(&stats) = 1
		}
	}
	*limiterClosed.count(&stats), *clusterUnavailable.count(&stats) = 1, 1
	refused := reflect.ValueOf(stats.Refused)
	for i := range refused.NumField() {
		assert.EqualValues(
			t, 1, refused.Field(i).Uint(), "nothing counts %s", refused.Type().Field(i).Name,
		)
	}
}

// The limits of a client have the names of fields of the options.
func TestClientLimitsAreThoseOfTheOptions(t *testing.T) {
	var o Options
	value := reflect.ValueOf(&o).Elem()
	client := reflect.TypeFor[ClientLimits]()
	for i := range client.NumField() {
		field := client.Field(i)
		require.Equal(t, field.Type, value.FieldByName(field.Name).Type(), field.Name)
		value.FieldByName(field.Name).SetInt(int64(i + 1))
	}
	limits := reflect.ValueOf(o.clientLimits())
	for i := range client.NumField() {
		assert.EqualValues(t, i+1, limits.Field(i).Int(), client.Field(i).Name)
		negative := reflect.New(client).Elem()
		negative.Field(i).SetInt(-1)
		mistaken := negative.Interface().(ClientLimits)
		assert.ErrorContains(t, mistaken.validate(), "LimitsFor: "+client.Field(i).Name+" is -1")
	}
}

func TestDeclaredSaysWhatIsUsedAndRefused(t *testing.T) {
	stats := Stats{Fetches: 7, FetchesWaiting: 3, Refused: Refusals{Fetches: 5}}
	for _, d := range Declared() {
		assert.Equal(t, d.Default, d.Value(DefaultOptions()), d.Option)
		field, ok := reflect.TypeFor[Options]().FieldByName(d.Option)
		require.True(t, ok, d.Option)
		assert.Equal(t, field.Type == reflect.TypeFor[time.Duration](), d.Time, d.Option)
		if d.Option != "MaxFetches" {
			continue
		}
		assert.Equal(t, "NO [LIMIT] Too many current FETCHes active", d.Answer)
		used, ok := d.InUse(stats)
		assert.True(t, ok)
		assert.Equal(t, 7, used)
		waiting, ok := d.Waiting(stats)
		assert.True(t, ok)
		assert.Equal(t, 3, waiting)
		refused, ok := d.Refused(stats)
		assert.True(t, ok)
		assert.EqualValues(t, 5, refused)
	}
}

# Слова бота по-русски. Значения приходят экранированными; числа, не выбирающие форму слова, приходят текстом.

count-vms = { $n ->
    [one] { $n } ВМ
    [few] { $n } ВМ
   *[many] { $n } ВМ
}
count-nodes = { $n ->
    [one] { $n } узел
    [few] { $n } узла
   *[many] { $n } узлов
}
count-migrations = { $n ->
    [one] { $n } миграция
    [few] { $n } миграции
   *[many] { $n } миграций
}
unit-seconds = { $n } с
unit-minutes = { $n } мин
unit-hours = { $n } ч
unit-days = { $n } д
until = до { $until }
continued = { $title }
    часть { $n }
more-lines = … и ещё { $n }

resource-memory = память
resource-cpu = vCPU на ядро
resource-load = нагрузка на ядро
excess-memory = память { $value } % &gt; { $threshold } %
excess-cpu = vCPU на ядро { $value } &gt; { $threshold }
excess-load = нагрузка на ядро { $value } &gt; { $threshold }
excess-margin = запас: { $resource } { $value }, порог { $threshold }
disk = диск { $size }

role-viewer = наблюдатель
role-operator = оператор
role-admin = администратор

mode-off = off (только по команде)
mode-propose = propose (цикл предлагает план)
mode-auto = auto (цикл сам выполняет план)

direction-source = не источник
direction-target = не цель
direction-both = ни источник, ни цель

by-auto = автоматический режим
by-command-line = командная строка
by-standing = автопилот ({ $who })
by-nightly = AUTOPILOT из настроек

outcome-done = миграция выполнена
outcome-failed = не удалось
outcome-lost = исход неизвестен
outcome-dropped = отменено

ending-not-offered = VMmanager не предлагает эту цель
ending-node-occupied = узел занят миграцией ВМ { $vm } ({ $n })
ending-already-moving = у ВМ есть незавершённая миграция
ending-somebody-else = пока VMmanager откладывал команду, с ВМ работал кто-то другой
ending-busy = VMmanager занят, попробуем позже: { $why }
ending-not-understood = VMmanager не понимает команду; о самой ВМ это ничего не говорит: { $why }
ending-vmmanager = VMmanager: { $why }
ending-not-allowed = VMmanager не разрешает этой учётной записи то, что нужно для миграции (возможно, ей доступно только чтение): { $why }
ending-cancelled = отмена: { $who }
ending-given-up = наблюдение прекращено: { $who }
ending-dry-run = в пробном режиме ничего не выполняется
ending-stopped = бот остановлен до того, как VMmanager принял команду
ending-restarted = бот был перезапущен
ending-panicked = ошибка в боте, подробности в его журнале
ending-nothing-began = на команду нет ответа, и ничего не началось
ending-no-answer = на команду нет ответа, и { $place }
ending-task-vanished = задача исчезла; { $place }
ending-task-complete = задача завершена, но { $place }
ending-task-word = задача окончена со статусом { $word }; { $place }
ending-task-wordless = задача окончена без статуса; { $place }
ending-task-said = { $said }
ending-task-cancelled = задача отменена
ending-task-failed = задача завершилась ошибкой без объяснения
vm-on-target = ВМ на целевом узле
vm-on-source = ВМ на исходном узле
vm-elsewhere = ВМ на узле { $node }

unfit-vm-gone = этой ВМ больше нет
unfit-node-gone = узла { $node } больше нет
unfit-moved = ВМ теперь на узле { $node }
unfit-already-there = ВМ уже на целевом узле
unfit-vm = ВМ остаётся: { $why }
unfit-target = цель не принимает: { $why }
unfit-held = в кластере ничего не делается: { $why }
unfit-no-relief = это больше не поможет

why-relieve = { $excess }
why-ahead = заранее: { $resource } { $value }, порог { $threshold }
why-make-room = освобождает место для { $vm } ({ $id })
why-level = выравнивание: { $before } → { $after }
why-undo = обратно, как до плана { $plan }
why-drain = узел освобождается

caution-newer-kernel = ядро целевого узла новее ({ $target }, было { $source }), иначе не помочь
caution-moved-lately = миграция была недавно, без этого плана ВМ не трогали бы до { $until }
caution-same-cpu = режим «host-passthrough», процессоры узлов одинаковы; иначе не помочь
caution-unknown-cpu = режим «host-passthrough», и неизвестно, одинаковы ли процессоры узлов: ВМ может зависнуть; иначе не помочь
caution-soft-target = целевой узел заполняется выше целевого порога ({ $resource }), иначе не помочь

skip-state = состояние «{ $state }»
skip-node-state = узел закрыт: { $why }
skip-pinned = закреплена
skip-host-passthrough = режим процессора «host-passthrough»
skip-not-worth-it = миграция сняла бы слишком мало нагрузки
skip-rests-moved = миграция была недавно, не трогаем до { $until }
skip-rests-failed = миграция не удалась, не трогаем до { $until }
skip-rests-failed-again = миграция не удалась несколько раз подряд, не трогаем до { $until }
skip-rests-pulled = кто-то каждый раз возвращает её назад, не трогаем до { $until }
skip-rests-busy = VMmanager был ею занят, не трогаем до { $until }
skip-in-flight = миграция идёт, или её исход неизвестен
skip-excluded-source = узел закрыт как источник
skip-no-room-back = для возврата на { $node } мало места: { $resource } { $value }, допустимо { $most }
skip-not-back = { $node } не примет обратно: { $why }
skip-not-there = она уже не там, куда её переместил тот план
skip-no-target = нет цели: { $why }
kind-rests-moved = миграция была недавно
kind-rests-failed = миграция не удалась
kind-rests-failed-again = миграция не удалась несколько раз подряд
kind-rests-pulled = кто-то каждый раз возвращает её назад
kind-rests-busy = VMmanager был ею занят

block-iso = подключён ISO-образ
block-snapshots = снимки
block-balancer-mode = balancer_mode выключен
block-rescue = режим восстановления
block-vm5 = ограничения VMmanager 5
block-node-forbids = узел не разрешает живую миграцию
block-nesting = вложенная виртуализация
block-unknown-size = VMmanager не сообщает размер ВМ
block-unreadable = запись о ВМ читается не полностью
state-unreadable-vm = запись об одной из его ВМ читается не полностью
block-task = VMmanager выполняет с ней задачу: { $task }
block-unexplained = файл снимка платформы не разрешает перемещать эту ВМ

refusal-memory = память выше порога
refusal-cpu = vCPU на ядро выше порога
refusal-load = нагрузка на ядро выше порога
refusal-reserve = резерв памяти
refusal-vm-limit = предел числа ВМ
refusal-older-qemu = более старый QEMU
refusal-qemu-too-old = QEMU ниже { $least }
refusal-newer-kernel = более новое ядро
refusal-other-os = другое семейство ОС
refusal-other-cpu = другой процессор, а ВМ в режиме «host-passthrough»
refusal-too-few-cores = ядер меньше, чем vCPU у ВМ
refusal-disk = мало свободного места на диске
fault-libvirt = VMmanager сообщает об ошибке «libvirt»
fault-ha = VMmanager сообщает об ошибке отказоустойчивости
fault-routing = VMmanager сообщает об ошибке маршрутизации («bird», «frr»)
refusal-anti-affinity = правило раздельного размещения
refusal-excluded = закрыт как цель
refusal-maintenance = обслуживание
refusal-creation-blocked = закрыт в VMmanager для новых ВМ
refusal-not-active = не активен
refusal-unreadable = записи читаются не полностью
refusal-unknown-capacity = ёмкость неизвестна
refusal-other-cluster = другой кластер
refusal-same-node = других узлов нет
refusal-real-memory = выделенной памяти стало бы больше физической
refusal-memory-in-use = мало действительно свободной памяти
refusal-memory-pressure = ожидание памяти
refusal-cpu-pressure = ожидание процессора
refusal-declined = VMmanager недавно отказал в нём для этой ВМ

obstacle-limit = { $n ->
    [one] исчерпан предел: { $n } миграция
    [few] исчерпан предел: { $n } миграции
   *[many] исчерпан предел: { $n } миграций
}
obstacle-excluded = узел закрыт как источник
obstacle-state = узел закрыт: { $why }
obstacle-immovable = { $n ->
    [one] { $n } ВМ остаётся: { $why }
    [few] { $n } ВМ остаются: { $why }
   *[many] { $n } ВМ остаются: { $why }
}
obstacle-no-target = { $n ->
    [one] нет цели для { $n } ВМ: { $why }
    [few] нет цели ни для одной из { $n } ВМ: { $why }
   *[many] нет цели ни для одной из { $n } ВМ: { $why }
}
obstacle-not-enough = { $n ->
    [0] перемещать с него нечего
    [one] переместить можно { $n } ВМ, этого мало
    [few] переместить можно { $n } ВМ, этого мало
   *[many] переместить можно { $n } ВМ, этого мало
}
obstacle-left-out = миграция для него исключена
obstacle-held = в этом кластере ничего не делается: { $why }
needs-less = нужно разгрузить на { $amount }
needs-vcpus = { $amount } vCPU
needs-cores = { $amount } по нагрузке на ядра

hold-incomplete = данные неполны: { $why }
hold-not-kvm = { $kind } не балансируется, только KVM
hold-foreign = идёт миграция, которую заказал не этот бот (задача { $task })

flaw-short-list = в списке { $list } строк { $rows } из { $promised }
flaw-unreadable = { $n ->
    [1] в списке { $list } нечитаемая строка { $first }: { $shape }
    [one] в списке { $list } { $n } нечитаемая строка, первая — { $first }: { $shape }
    [few] в списке { $list } { $n } нечитаемые строки, первая — { $first }: { $shape }
   *[many] в списке { $list } { $n } нечитаемых строк, первая — { $first }: { $shape }
}
flaw-shape-no-id = не читается её номер
flaw-shape-no-object = это вообще не запись
flaw-doubled = { $n ->
    [one] в списке { $list } { $n } строка повторяется
    [few] в списке { $list } { $n } строки повторяются
   *[many] в списке { $list } { $n } строк повторяются
}
flaw-damaged = в списке { $list } у строки { $id } не читаются поля { $fields }
flaw-tasks-refused = неизвестно, какие миграции идут: { $why }
flaw-unlisted-cluster = узлы у кластера есть, но в списке кластеров его нет
flaw-node-without-cluster = для узла { $node } не указан кластер
flaw-vms-without-node = { $n ->
    [one] { $n } ВМ находится на неизвестном узле: { $example }
    [few] { $n } ВМ находятся на неизвестных узлах, например { $example }
   *[many] { $n } ВМ находятся на неизвестных узлах, например { $example }
}
flaw-shrank = было { $before } ВМ, теперь видно { $after }
flaw-broken-plan = { $n ->
    [one] план нарушает { $n } правило планировщика, подробности в журнале
    [few] план нарушает { $n } правила планировщика, подробности в журнале
   *[many] план нарушает { $n } правил планировщика, подробности в журнале
}
list-clusters = кластеров
list-nodes = узлов
list-vms = ВМ
list-tasks = задач

note-every-vm-opted-out = У всех ВМ выключен balancer_mode: перемещать нечего.
note-unmeasured = Нет свежих измерений { $nodes }: считается по выделению.
note-settling = Нагрузка { $node } выше порога, но с него только что ушла ВМ: нагрузка учтётся в измерении от { $until } или позже.
note-strained = { $node } в пределах порогов, но: { $what }
note-load-is-not-cpu = Нагрузка { $node } — ожидание дисков и подобного, а не процессора: { $waits }.

note-builtin-balancer = Возможно, включён собственный балансировщик VMmanager ({ $key }).
note-foreign = Идёт чужая миграция (задача { $task }): новые не запускаются.
note-unknown-selector = По имени { $selector } из настроек ничего не найдено.
note-unreadable-node = Запись об узле { $node } читается не полностью: на него и с него ничего не перемещается.
note-nameless-vm = У записи об одной из ВМ на { $node } не читается номер: на этот узел и с него ничего не перемещается. Какая это строка, сказано в журнале программы.
note-unreadable-vms = { $n ->
    [one] Запись о { $vms } на { $node } читается не полностью: на этот узел и с него ничего не перемещается.
    [few] Записи о { $vms } на { $node } читаются не полностью: на этот узел и с него ничего не перемещается.
   *[many] Записи о { $vms } на { $node } читаются не полностью: на этот узел и с него ничего не перемещается.
}
note-closed-after-failures = { $n ->
    [one] { $node } закрыт{ $until }: { $n } неудачная миграция.
    [few] { $node } закрыт{ $until }: { $n } неудачные миграции.
   *[many] { $node } закрыт{ $until }: { $n } неудачных миграций.
}
note-closed-until = { " " }до { $until }
note-steps-dropped = { $n ->
    [one] { $n } шаг нарушал правила планировщика или зависел от такого и пропущен, правила названы в журнале.
    [few] { $n } шага нарушали правила планировщика или зависели от таких и пропущены, правила названы в журнале.
   *[many] { $n } шагов нарушали правила планировщика или зависели от таких и пропущены, правила названы в журнале.
}
note-faulty = На узел { $node } ничего не перемещается: { $what }.
note-mixed-os = В кластере есть узлы семейств «Red Hat» и «Debian», VMmanager такое не поддерживает: между ними ВМ не перемещаются.
note-sums-differ-on = Выделенная память по VMmanager и сумма по ВМ различаются на { $nodes }; учитывается большее.
note-sums-differ = { $node }: VMmanager считает выделенным { $of_node }, а сумма по ВМ { $of_vms }; учитывается большее.

plan-title = { $n ->
    [one] План { $plan }, кластер { $cluster } ({ $id }): { $n } миграция
    [few] План { $plan }, кластер { $cluster } ({ $id }): { $n } миграции
   *[many] План { $plan }, кластер { $cluster } ({ $id }): { $n } миграций
}
plan-pending = ⏳ Ждёт подтверждения
plan-counted = { $have } из { $need }
plan-approved-by = Подтверждение: { $who }
plan-checked = План сверяется с текущим состоянием.
plan-ended = Завершено в { $at }
plan-running = ▸ Идёт с { $since }
plan-running-ended = завершено { $ended } из { $of }
plan-stops = ■ Остановится после текущей миграции,
    по запросу: { $who }
plan-done = ✓ готово (done):
plan-partly = ⚠ частично (partly):
plan-stopped = ■ остановлено (stopped), { $who }:
tally-moved = перенесено { $n }
tally-failed = не удалось { $n }
tally-lost = исход неизвестен { $n }
tally-dropped = отменено { $n }
tally-left-out = исключено { $n }
plan-voided = ⚠ План изменился, голоса сброшены:
plan-all-left-out = Исключено всё: подтверждать нечего.
plan-left-out-before = Исключена и из следующих планов:
    { $vm }, решение: { $who }
plan-rejected = ✗ Отклонено: { $who }, { $at }
plan-rejection-holds = Циклы не предложат то же самое
    до { $until }.
    Снять запрет: /balance { $cluster }
plan-left-out-holds = Исключённое циклы не предложат
    до { $until }.
    Снять запрет: /balance { $cluster }
plan-expired = ✗ Срок вышел в { $at }
    «Обновить» составит новый план.
plan-superseded = ✗ Его место занял план { $plan }
plan-stale = ✗ Кластер изменился:
    этот план больше не подходит.
plan-shown = Только показ: ничего не выполняется
origin-schedule = По расписанию в { $at }
origin-person = По запросу: { $who }, { $at }
origin-once = Из командной строки в { $at }
origin-replaces = Вместо плана { $plan } в { $at }
figures-over = Перегружено узлов { $change }
figures-memory = Наибольшая память { $change } %
figures-cpu = Наибольшее vCPU на ядро { $change }
figures-imbalance = Неравномерность { $change }
predicted-over = Прогноз: перегружено узлов { $over }
figures-later = Прогноз без исключённых миграций
    появится при следующем опросе.
node-seen = { $node }: { $before } → { $after } %
node-seen-unlike = прогноз { $predicted } %
unseen = Результат не проверен.
unseen-why = ⚠ Результат не удалось проверить:
    { $why }
unseen-timed-out = VMmanager отвечал слишком долго
unseen-cluster-gone = кластера больше нет
incomplete = ⚠ Данные неполны:
    { $why }
still-overloaded = ⚠ { $node } останется перегружен
cut-by-limit = ⚠ { $why }.
    Останутся перегружены:
cut-by-choice = ⚠ Исключено, и останутся перегружены:
left-alone = Не трогаем { $vms }:
step-waits = ждёт
step-unfit = не подходит без исключённых миграций:
step-left-out-by = исключена из плана: { $who }
step-same = { $outcome }, причина та же, что у { $step }
step-task = задача { $task }
step-rests = не трогать до { $until }
step-runs = идёт с { $since }
step-slow = идёт с { $since }, медленно

button-approve = Подтвердить
button-reject = Отклонить
button-refresh = Обновить
button-keep-first = Только 1–{ $n }
button-keep-all = Вернуть все
button-only-node = Только { $node } ({ $n })
button-cancel = Остановить после этой миграции
button-take = Беру на себя
button-snooze = Отложить на час
button-look-again = Посмотреть ещё раз
button-give-up = Больше не ждать
button-give-up-surely = Не ждать: исход неизвестен
give-up-title = Больше не ждать конца плана { $plan } в { $cluster }?
give-up-means = Исход будет записан как неизвестный, остаток плана отменён, кластер освободится для новых планов. Задачу VMmanager это не остановит: пока она идёт, эта ВМ остаётся на месте, а место на целевом узле считается занятым.
gave-up = План { $plan } ({ $cluster }) больше не отслеживается, исход записан как неизвестный.
glimpse = { $vm }: задача{ $task }: { $says }; { $place }.
glimpse-runs = ждёт или идёт
glimpse-complete = завершена
glimpse-failed = завершилась ошибкой
glimpse-wordless = окончена без статуса
glimpse-nothing = VMmanager её не показывает
button-cancel-plan = Остановить план { $plan }, { $cluster }
button-balance = Балансировать { $cluster }
button-newer = ← новее
button-older = старее →

check-message = vm-balancer check: бот может писать в этот чат.

board-off = Эта сводка больше не обновляется. Текущее состояние: /status
board-as-of = Данные от { $at }
digest-title = За последние 24 часа
digest-moved = { $n ->
    [0] Миграций не было.
    [one] Перенесена { $n } ВМ.
    [few] Перенесены { $n } ВМ.
   *[many] Перенесено { $n } ВМ.
}
digest-failed = { $n ->
    [one] ⚠ Не удалась или исход неизвестен: { $n } миграция, /history
    [few] ⚠ Не удались или исход неизвестен: { $n } миграции, /history
   *[many] ⚠ Не удались или исход неизвестен: { $n } миграций, /history
}
digest-plans = Планов, не выполненных полностью: { $n }
verdict-none-over = ✓ Ни один узел не перегружен
verdict-over = { $n ->
    [one] ⚠ Перегружен { $n } узел
    [few] ⚠ Перегружено { $n } узла
   *[many] ⚠ Перегружено { $n } узлов
}
verdict-worst = { $n ->
    [1] { $node }: { $why }
   *[other] хуже всех { $node }: { $why }
}
verdict-waits = План { $plan } ждёт до { $until }
status-closed = Закрытых узлов: { $n }, см. /exclusions
status-more-running = … и ещё { $n }: /running
status-more-nodes = … и ещё { $n }: /status { $cluster }
status-more-clusters = { $over ->
    [0] … и ещё кластеров без перегрузки: { $n }
   *[other] … и ещё кластеров: { $n }, перегружено узлов: { $over }
}
    /status КЛАСТЕР
status-mode = Режим: { $mode }
status-away = ⚠ VMmanager недоступен: { $why }
status-restored = ⚠ Хранилище восстановлено из выгрузки.
    Администратор подтверждает: /resume;
    до того планы ждут подтверждения.
status-paused = ‖ Пауза: { $who }
status-next-cycle = Следующий цикл { $at }
status-no-next-cycle = Цикл не назначен
status-window-closed = Вне окна балансировки:
    циклы сами миграций не запускают
status-last-cycle = Последний цикл { $at }
status-last-trouble = ⚠ Последний цикл { $at }: { $why }
status-no-picture = О платформе пока ничего не известно.
status-cluster = { $cluster } ({ $id }): { $nodes }, { $vms }
status-cluster-over = { $over ->
    [0] перегруженных нет
   *[other] перегружено { $over }
}
status-memory = наибольшая память { $memory } %
status-cpu = наибольшее vCPU на ядро { $cpu }
status-imbalance = неравномерность { $imbalance }
status-page = Узлы { $from }–{ $to } из { $n }
button-nodes-before = ← { $from }–{ $to }
button-nodes-after = { $from }–{ $to } →
status-measured = измерено { $age } назад:
    наибольшая нагрузка на ядро { $load }
    памяти действительно занято { $memory }
status-unmeasured = ⚠ нет свежих измерений,
    считается выделенное: { $nodes }
status-would-move = { $n ->
    [one] План переместит { $n } ВМ
    [few] План переместит { $n } ВМ
   *[many] План переместит { $n } ВМ
}
status-stopped = ⚠ Автоматика остановлена после неудач
    Включить: /resume
status-as-of = По состоянию на { $at }, { $age } назад
held = ⚠ В этом кластере ничего не делается:
    { $why }
foreign = ⚠ Идёт чужая миграция:
    задача { $task }
foreign-of-vm = ⚠ Идёт чужая миграция:
    { $vm }, задача { $task }

node-title = Узел { $node } ({ $id }), кластер { $cluster }
node-unknown = ёмкость неизвестна
node-cores = { $n ->
    [one] { $n } ядро процессора
    [few] { $n } ядра процессора
   *[many] { $n } ядер процессора
}
node-cpu = процессор { $model }
node-newer-kernel = { $n ->
    [one] Ядро новее, чем на { $n } узле: ВМ оттуда примет, только если иначе не помочь
   *[many] Ядро новее, чем на { $n } узлах: ВМ оттуда примет, только если иначе не помочь
}
node-kernel = ядро ОС { $version }
node-disk-free = свободно на диске { $free }
node-measured = Измерено { $age } назад ({ $at }):
node-measured-old = ⚠ Измерено { $age } назад ({ $at }),
    слишком давно, считается выделенное:
node-load-waits = Нагрузка выше порога в одном измерении;
    учтётся, если и следующее будет выше
node-load-settles = Нагрузка выше порога, но ВМ только ушла;
    учтётся в измерении от { $until } или позже
measured-briefly = измерено { $age } назад: { $what }
measured-briefly-old = ⚠ измерено { $age } назад, слишком давно: { $what }
measured-never = не измеряется, считается выделенное
measured-never-why = не измеряется ({ $why }), считается выделенное
node-last-try = ⚠ Последняя попытка измерить не удалась: { $why }
unmeasured-refused = в соединении отказано
unmeasured-unreachable = узел недоступен
unmeasured-silent = нет ответа в срок
unmeasured-host-key-unknown = ключ узла неизвестен
unmeasured-host-key-changed = ключ узла не тот, что известен
unmeasured-host-key-revoked = ключ узла отозван
unmeasured-host-key-unchecked = файл известных ключей не читается
unmeasured-handshake = не удалось согласовать соединение SSH
unmeasured-login = во входе отказано
unmeasured-lost = соединение потеряно
unmeasured-command = команда отклонена или не удалась
unmeasured-unreadable = ответ не является измерением
memory-really-used = памяти действительно занято { $percent }
pressure-cpu = ожидание процессора { $percent } времени
pressure-memory = ожидание памяти { $percent } времени
pressure-io = ожидание дисков { $percent } времени
vm-measured = Занимает { $cores } ядра процессора,
    измерено { $age } назад
node-not-overloaded = Не перегружен
node-overloaded = ⚠ Перегружен:
node-source = { $n ->
    [0] Источник: открыт, перемещать нечего
    [one] Источник: переместить можно { $n } ВМ
    [few] Источник: переместить можно { $n } ВМ
   *[many] Источник: переместить можно { $n } ВМ
}
node-no-source = Не источник: { $why }
node-target = Цель: есть место для { $room }
node-no-target = Не цель: { $why }
vm-title = ВМ { $vm }
    на { $node }
vm-passthrough = host-passthrough
vm-stays = Остаётся: { $why }
vm-movable = { $n ->
    [one] Переместить можно; ВМ примет { $n } узел:
    [few] Переместить можно; ВМ примут { $n } узла:
   *[many] Переместить можно; ВМ примут { $n } узлов:
}
vm-refused = Не подходят:
vm-no-other-node = Переместить можно, но других узлов нет
vm-no-target = Переместить можно, но никто не примет:

running-title = { $n ->
    [one] Идёт { $n } миграция
    [few] Идут { $n } миграции
   *[many] Идут { $n } миграций
}
running-since = с { $since } ({ $lasts })
running-plan = план { $plan }
nothing-running = Ничего не выполняется.
plan-cancelled = План { $plan } ({ $cluster }) остановится после текущей миграции.
no-exclusions = Закрытых узлов нет.
exclusions-title = Закрытые узлы
excluded-configured-source = из-за EXCLUDE_SOURCE_NODES: { $selector }
excluded-configured-target = из-за EXCLUDE_TARGET_NODES: { $selector }
excluded-configured = из настроек
excluded-by = закрыт: { $who }, { $at }
excluded-failures = { $n ->
    [one] после { $n } неудачной миграции
    [few] после { $n } неудачных миграций
   *[many] после { $n } неудачных миграций
}
excluded-declined = { $n ->
    [one] VMmanager отказал в нём для { $n } ВМ
    [few] VMmanager отказал в нём для { $n } ВМ
   *[many] VMmanager отказал в нём для { $n } ВМ
}

audit-title = Кто что сделал, сначала новое
audit-empty = Записей нет.
audit-approve = подтверждение
audit-autopilot = автопилот
audit-balance = запрос плана
audit-cancel = остановка
audit-change = изменение
audit-choose = выбор миграций
audit-command = команда
audit-drain = освобождение
audit-include = открытие
audit-maintenance = работы на узлах
audit-press = кнопка
audit-refresh = обновление
audit-refused = отказ
audit-reject = отклонение
audit-restored = восстановление хранилища
audit-too-old = слишком поздно
audit-undo = отмена сделанного
audit-of-proposal = план { $rest }
audit-of-cluster = кластер { $rest }
audit-of-node = узел { $rest }
history-title = История, сначала новое
history-title-of = История { $of }, сначала новое
history-empty = Миграций ещё не было.
history-days = { $n ->
    [one] За последний { $n } день
    [few] За последние { $n } дня
   *[many] За последние { $n } дней
}
history-nothing-of = В истории ничего нет про { $of }:
    ни ВМ, ни узла,
    ни кластера, ни человека.
history-searched = Просмотрено до { $to };
    дальше — кнопками.
history-plan = План { $plan }, { $cluster }
history-lasts = заняло { $lasts }
history-dropped = { $n ->
    [one] отменён { $n } шаг
    [few] отменено { $n } шага
   *[many] отменено { $n } шагов
}
history-csv = { $n ->
    [one] { $n } миграция в CSV
    [few] { $n } миграции в CSV
   *[many] { $n } миграций в CSV
}
history-csv-cut = Это не всё; целиком: <code>vm-balancer history --csv</code>
button-csv = CSV
history-open = не завершено

start = Я слежу, чтобы ВМ кластеров VMmanager были хорошо распределены по узлам.
help = Доступные команды:
your-role = Ваша роль: { $role }
help-needs = Нужна роль: { $role }.
help-examples = Например: { $examples }
help-start = о боте
help-help = доступные команды или справка по одной
help-status = кластеры, перегруженные узлы, режим, что выполняется
help-node = один узел: источник ли он, цель ли, и почему
help-vm = одна ВМ: можно ли её переместить и почему
help-why = почему ВМ перемещают или нет; источник ли узел, цель ли, и почему
help-whatif = что будет, если освободить узел, потерять его или добавить ВМ
help-drain = план, который освобождает узел для работ
help-balance = составляет план и предлагает его
help-history = выполненные миграции, сначала новые
help-running = что выполняется сейчас
help-maintenance = освобождает узлы по очереди, каждый — пока вы не скажете, что готово
help-at = подтверждает план, который ждёт, с началом в заданное время
help-reject = отклоняет план, можно с причиной
help-audit = кто что сделал
help-cancel = останавливает план после текущей миграции
help-dryrun = пробный режим: ничего не выполняется; выключает администратор
help-mode = режим автоматических циклов
help-pause = останавливает автоматические циклы
help-resume = возобновляет автоматические циклы
help-autopilot = разгрузка без подтверждения, на время и с лимитами
help-exclude = закрывает узел как источник, цель или оба; шаблон вроде kvm-* — все, что подходят сейчас
help-include = снова открывает узел или все по шаблону
help-exclusions = закрытые узлы
help-settings = действующие пороги и пределы, и откуда каждый
help-set = меняет настройку; слово default отменяет изменение
help-lang = ваш язык: en или ru; со словом chat — язык этого чата, для администраторов
help-rests = ВМ, которые не трогаем после миграции или неудачи; администратор снимает запрет
help-whoami = ваш id и роль
whoami = { $who }, id { $id }
whoami-chat = Этот чат: { $chat }

unknown-command = Команды /{ $typed } нет.
did-you-mean = Может быть, { $similar }?
see-help = Список команд: /help
usage = Формат: { $usage }
problem-missing = Команда неполная.
problem-too-much = Не понимаю «{ $word }».
problem-not-one-of = «{ $found }» не подходит. Варианты: { $expected }.
problem-not-a-time = «{ $word }» — не промежуток времени. Примеры: 30m, 2h, 1d.
problem-not-a-size = «{ $word }» — не размер. Пишите 8G или 512M.
problem-not-a-number = «{ $word }» — не число или слишком большое.
problem-not-a-time-of-day = «{ $word }» — не время суток. Пишите 05:00.
problem-open-quote = Кавычка открыта и не закрыта.
too-old = { $command } от { $at } прочитана слишком поздно и не выполняется. Повторите, если ещё нужно.
needs-role = Нужна роль: { $needed }; ваша: { $have }.
admins-unknown = Telegram не сообщил, кто администратор этого чата; повторите через минуту.
stranger-anonymous = Вы пишете как анонимный администратор ({ $id }), а им может быть кто угодно. Пишите от своего имени; тогда /whoami покажет ваш id.
stranger-channel = Вы пишете от имени канала или чата ({ $id }). Пишите от своего имени.
stranger-not-listed = Вас нет в списках доступа. Ваш id { $id }: администратор может добавить его в TELEGRAM_VIEWER_IDS, TELEGRAM_OPERATOR_IDS или TELEGRAM_ADMIN_IDS.
stranger-other-chat = Этот чат не настроен. Ваш id { $id }, id чата { $chat }: администратор может задать TELEGRAM_CHAT_ID или добавить ваш id в список.

missed-cluster = Кластера { $found } нет.
missed-node = Узла { $found } нет.
missed-vm = ВМ { $found } нет.
missed-vm-or-node = Нет ни ВМ, ни узла { $found }.
missed-known = Есть: { $known }
missed-several = { $found } подходит к нескольким: { $choices }. Укажите номер: #{ $id }.
choice-in = { $name } ({ $id }) в { $cluster }
which-cluster = Какой кластер?
which-plan = Какой план? Выполняются: { $plans }.
refused-not-ours = Кластер { $cluster } ({ $id }) не обслуживается: его нет в CLUSTER_IDS.
refused-busy = В этом кластере выполняется план { $plan }; дождитесь его или остановите: /cancel.
refused-no-plan = Плана { $plan } нет.
refused-approved = План { $plan } уже подтверждён: { $who }, { $at }.
refused-running = План { $plan } выполняется с { $at }; подтверждение: { $who }.
refused-done = План { $plan } завершён { $at }; подтверждение: { $who }.
refused-rejected = План { $plan } отклонён: { $who }, { $at }.
refused-superseded = Место плана { $plan } занял план { $who }, { $at }.
refused-stale = План { $plan } больше не подходит: { $at }.
refused-expired = Срок плана { $plan } вышел: { $at }; «Обновить» составит новый.
refused-nothing-left = Из плана { $plan } исключено всё, подтверждать нечего. Верните хотя бы одну миграцию или отклоните план.
refused-already-counted = Ваш голос уже учтён: { $have } из { $need }.
refused-own = План не может подтвердить тот, кто его запросил: { $have } из { $need }.
refused-dry-run = Это пробный режим: ничего не выполняется.
trouble-vmmanager = VMmanager недоступен: { $why }
trouble-planning = ❌ Не удалось рассчитать план: { $said }
trouble-store = Хранилище недоступно: { $why }

quotation = «{ $said }»
recorded = «{ $said }»
said-nothing = причина не названа

api-settings = ошибка в настройках подключения: { $why }
settings-user-in-address = в адресе не должно быть пользователя и пароля
settings-client = не удалось создать HTTP-клиент: { $said }
settings-no-certificate = в файле частного УЦ нет сертификата PEM
settings-authority = не удалось прочитать сертификат частного УЦ: { $said }
api-credentials = логин с паролем или токен не приняты: { $why }
login-not-confirmed = вход не подтверждён: учётной записи нужен ещё один шаг; нужна учётная запись без него
login-no-token = в ответе на вход нет токена
login-rests = { $why } (следующая попытка через { $left })
api-no-login = нет функции { $what }: версия VMmanager старше 2024 года или неверно задана переменная { $variable }
api-forbidden = нет прав на { $what }: { $why }
api-put-off = сервис не готов, запрос { $what } отложен
api-unavailable = сервис не готов, запрос { $what } откладывался { $waited }
api-no-answer = нет ответа на { $what }: { $why }
silence-timed-out = истекло время ожидания
silence-lost = нет соединения
api-not-found = запрос { $what } ничего не нашёл: { $why }
api-refused = отказ на { $what }: { $why }
api-refused-numbers = отказ на { $what }: { $why } ({ $numbers })
said-status = статус { $status }
said-status-code = статус { $status }, код { $code }
said-foreign = статус { $status }, в ответе { $body }
api-unreadable = ответ на { $what } не удалось разобрать: { $why }
answer-cut-off = он обрывается в строке { $line }, позиция { $column }; получено: { $body }
answer-not-json = это не JSON, строка { $line }, позиция { $column }; получено: { $body }
answer-odd-shape = неожиданная структура, строка { $line }, позиция { $column }; получено: { $body }
answer-too-long = он длиннее { $n } байт
answer-vm-without-node = для ВМ { $vm } не указан узел
body-empty = ничего
body-object = { $n ->
    [one] объект JSON, { $n } байт
    [few] объект JSON, { $n } байта
   *[other] объект JSON, { $n } байт
}
body-list = { $n ->
    [one] список JSON, { $n } байт
    [few] список JSON, { $n } байта
   *[other] список JSON, { $n } байт
}
body-page = { $n ->
    [one] страница HTML или XML, { $n } байт
    [few] страница HTML или XML, { $n } байта
   *[other] страница HTML или XML, { $n } байт
}
body-text = { $n ->
    [one] текст, { $n } байт
    [few] текст, { $n } байта
   *[other] текст, { $n } байт
}

store-locked = папку { $path } использует другой процесс vm-balancer
store-damaged = файлы повреждены: { $why }
damage-emptied = хранилище пусто, хотя раньше в нём были записи
damage-missing = читать нечего
damage-end-lost = потерян конец: записей { $has } из { $of }
damage-entry-lost = в журнале нет миграции { $n } ВМ { $vm }
damage-record = не удалось прочитать запись { $record }: { $said }
store-newer = его записала более новая версия vm-balancer (формат { $found }, эта версия читает до { $known })
store-file = не удалось использовать { $path }: { $said }
store-closed = закрыто после сбоя: { $why }
store-opening = открывается заново
store-unwritable = не удалось сохранить запись: { $said }
store-no-entry = в журнале нет миграции { $n }
store-entry-ended = миграция { $n } уже завершена
store-no-proposal = в нём нет плана { $n }
export-cut-off = экспорт обрывается
export-count = в экспорте { $has } записей, а должно быть { $of }
export-unreadable = не удалось прочитать экспорт: { $said }
store-in-flight = миграция ВМ { $vm } ещё не завершена

ssh-no-credentials = нечем войти по SSH: не заданы ни закрытый ключ, ни пароль, ни агент SSH
ssh-key-file = закрытый ключ { $path } не читается: { $said }
ssh-key-encrypted = закрытый ключ { $path } зашифрован, а парольная фраза не задана
ssh-key-passphrase = парольная фраза не подходит к закрытому ключу { $path }
ssh-key-public = { $path } — открытый ключ, а нужен закрытый; обычно его имя такое же, но без <code>.pub</code>
ssh-key-form = { $path } — не закрытый ключ известного вида (RSA, ed25519 или ECDSA в форме OpenSSH или PEM): { $said }
ssh-known-hosts = файл известных ключей { $path } не читается: { $said }
ssh-refused = { $host }: в соединении отказано
ssh-unreachable = { $host } недоступен: { $said }
ssh-timeout = нет ответа за { $after } { $phase }
ssh-dropped = соединение потеряно { $phase }
phase-queue = в ожидании предыдущего измерения
phase-connect = при установке соединения
phase-handshake = при согласовании шифрования
phase-auth = при входе
phase-command = при выполнении команды
ssh-key-unknown = ключ узла { $host } неизвестен: { $found }; сверьте его на самом узле и добавьте к известным
ssh-key-changed = ключ узла { $host } изменился: ожидался { $expected }, найден { $found }
ssh-key-revoked = ключ узла { $host } отозван: { $found }
ssh-known-line = { $file }, строка { $line }
ssh-key-unchecked = ключи узлов нельзя проверить: { $why }
ssh-key-not-kept = новый ключ узла { $host } не записывается в { $path }: { $said }
ssh-handshake = не удалось согласовать соединение SSH с { $host }: { $why }
ssh-no-host-key = сервер не показал ключ
ssh-login = вход под именем { $user } не удался: { $tried }; сервер предлагает { $offered }
ssh-nothing-to-try = пробовать нечего
ssh-nothing-offered = ничего
login-open = без проверки
login-agent = { $key } от агента
tried-more = { $n ->
    [one] сервер спрашивает не только пароль ({ $n } ответ)
    [few] сервер спрашивает не только пароль ({ $n } ответа)
   *[other] сервер спрашивает не только пароль ({ $n } ответов)
}
tried-enough = { $n ->
    [one] попытки кончились: серверы разрывают связь после { $n } попытки
   *[other] попытки кончились: серверы разрывают связь после { $n } попыток
}
tried-agent = агент { $socket } не отвечает на запрос ключей: { $why }
tried-unsigned = агент не подписал: { $why }
ssh-session = сервер отказал в сеансе: { $why }
session-prohibited = его настройки это запрещают
session-too-many = больше сеансов он не разрешает (<code>MaxSessions</code>)
session-unknown = он не поддерживает сеансы
session-shortage = ему не хватает ресурсов
session-command = команды запрещены
ssh-exit = команда завершилась с кодом { $code }
ssh-killed = команда прервана сигналом { $signal }
ssh-unreadable = ответ непонятен: { $why }
reading-other = это не измерение, а { $said }
reading-truncated = он обрывается
reading-missing = { $part } нет или не читается

refused-stopping = Бот останавливается; повторите через минуту.

nothing-to-do = { $over ->
    [0] В { $cluster } делать нечего: перегруженных узлов нет.
    [one] В { $cluster } ничего не сделать: перегружен { $over } узел, но ни одна миграция не поможет.
    [few] В { $cluster } ничего не сделать: перегружено { $over } узла, но ни одна миграция не поможет.
   *[many] В { $cluster } ничего не сделать: перегружено { $over } узлов, но ни одна миграция не поможет.
}
press-refreshed = Его место занимает план { $plan }.
press-approved = Подтверждено: план выполняется.
press-counted = Учтено: { $have } из { $need }.
rejected = План { $plan } отклонён.
press-rejected = Отклонено. Причину можно назвать так: /reject, номер плана и причина.
press-hand = Принято.
press-left-out = Исключена из плана: { $vm }.
press-taken-in = Снова в плане: { $vm }.
press-kept = В плане остаётся миграций: { $kept } из { $of }.
press-taken = Выполняется; результат появится в сообщении.
press-unrecorded = В хранилище бота нельзя писать, поэтому ничего не сделано. Нажмите ещё раз, когда на диске освободится место.
press-unknown = Эта кнопка больше не действует.
press-changed = План уже изменился. Посмотрите сообщение ещё раз.
press-changed-just-now = План только что изменился. Посмотрите его ещё раз и нажмите снова.
file-refused = Telegram не принял файл. Попробуйте позже.
broke = Внутренняя ошибка бота, подробности в журнале. Больше ничего не сделано.

reported = { $who }: { $said }
setting-dry-run-on = Пробный режим включён: ничего не выполняется.
setting-dry-run-off = Пробный режим выключен: подтверждённые планы выполняются.
setting-mode = Режим: { $mode }
autopilot-none = Автопилот выключен: планы ждут подтверждения. Чтобы разгрузка какое-то время шла сама: /autopilot 8h max 5
autopilot-asked = Автопилот до { $until }: разгрузка узлов без подтверждения.
autopilot-on = ✓ Автопилот до { $until }: узлы разгружаются без подтверждения.
autopilot-by = Запрос: { $who }
autopilot-by-configuration = Из настройки AUTOPILOT
autopilot-confirmed = Подтверждено: { $who }
autopilot-waits = Ждёт подтверждения до { $until }: { $have } из { $need }
autopilot-migrations = Миграции: { $used } из { $max }
autopilot-migrations-max = Миграции: не более { $max }
autopilot-ram = { $used } из { $max } памяти
autopilot-ram-max = Память: не более { $max }
autopilot-only = Только { $resource }
autopilot-cluster = Только кластер { $cluster }
autopilot-other-mode = Действует только в режиме propose.
    Сейчас режим: { $mode }
autopilot-unconfirmed = Автопилот не подтвердили вовремя.
autopilot-over = Время автопилота вышло.
autopilot-used-up = ⚠ Лимиты автопилота исчерпаны: планы ждут подтверждения.
autopilot-failed = ⚠ Автопилот остановлен после ошибки: планы ждут подтверждения.
autopilot-set-back = ⚠ Автопилот не действует: часы переведены на время до его начала. Планы ждут подтверждения.
autopilot-did = { $n ->
    [one] Перенесена { $n } ВМ
    [few] Перенесены { $n } ВМ
   *[many] Перенесено { $n } ВМ
}, { $memory }. Подробно: /history
autopilot-did-nothing = Ничего не перенесено.
autopilot-off = Автопилот выключен: планы ждут подтверждения.
autopilot-gone = Этот автопилот уже подтверждён, завершён или устарел.
button-chart = График
chart-cluster = Кластер { $cluster }: самые загруженные узлы
chart-status = Самые загруженные узлы
chart-plan = План { $plan }, { $cluster }: было → стало
chart-more = { $n ->
    [one] … и ещё { $n } узел
    [few] … и ещё { $n } узла
   *[many] … и ещё { $n } узлов
}
chart-over = выше порога
chart-threshold = порог
chart-node = { $node }: последние { $n } дней
chart-nothing-yet = Истории узла пока нет: первые данные появятся через четверть часа.
chart-highest = Максимум за год: { $value } ({ $day })
chart-range = { $resource }: сейчас { $last }, на графике от { $low } до { $high }
chart-history = Последние { $n } дней
chart-migrations-sum = Миграции: выполнено { $done }, с ошибкой { $failed }
chart-overload-sum = Перегрузка: { $hours } узло-часов
chart-migrations = Миграции по дням
chart-overload = Перегрузка по дням, узло-часы
button-confirm = Подтвердить
button-autopilot-end = Завершить
status-autopilot = Автопилот до { $until }
status-autopilot-asked = Автопилот до { $until } ждёт подтверждения: /autopilot
status-autopilot-migrations = { $used } из { $max } миграций
setting-paused = Пауза: автоматические циклы остановлены до /resume.
setting-paused-until = Пауза: автоматические циклы стоят
    до { $until }.
setting-paused-runs = Начатое продолжится; остановить: /cancel
setting-resumed-off = Пауза снята, но режим off: само ничего не запускается. С /mode propose циклы снова предлагают планы.
setting-still-closed = { $node } остаётся закрыт:
setting-resumed = Автоматические циклы продолжаются.
setting-excluded = { $n ->
    [1] { $node }: { $direction }.
    [one] { $n } узел ({ $node }): { $direction }.
    [few] { $n } узла ({ $node }): { $direction }.
   *[many] { $n } узлов ({ $node }): { $direction }.
}
setting-excluded-until = { $n ->
    [1] { $node }: { $direction } до { $until }.
    [one] { $n } узел ({ $node }): { $direction } до { $until }.
    [few] { $n } узла ({ $node }): { $direction } до { $until }.
   *[many] { $n } узлов ({ $node }): { $direction } до { $until }.
}
setting-included = { $n ->
    [1] { $node } снова открыт.
    [one] Снова открыт { $n } узел: { $node }.
    [few] Снова открыты { $n } узла: { $node }.
   *[many] Снова открыты { $n } узлов: { $node }.
}
setting-was-open = { $n ->
    [1] { $node } и так открыт.
   *[other] И так открыты: { $node }.
}
setting-already = Без изменений. { $said }
dry-run-is-on = Пробный режим включён: ничего не выполняется.
dry-run-is-off = Пробный режим выключен.

settings-title = Действующие настройки
settings-thresholds = Пороги
settings-moves = Сколько перемещать
settings-places = Узлы и ВМ
settings-times = Время
settings-chat = Сообщения
settings-how = Изменить: кнопками или командой /set ИМЯ ЗНАЧЕНИЕ.
settings-who = Настройки меняют администраторы.
settings-unknown = Настройки { $name }, которую можно менять на ходу, нет. Все настройки: /settings
setting-configured = В конфигурации: { $value }
setting-type = Другое значение: /set { $name } ЗНАЧЕНИЕ
setting-type-text = Другое значение: /set { $name } ЗНАЧЕНИЕ; слово empty — пусто
setting-empty = нет
setting-set = { $name }: { $value } (было: { $was })
setting-set-when = Действует со следующего плана.
setting-set-now = Действует сразу.
button-settings-all = Все настройки
button-settings-back = Назад
button-setting-default = Как в конфигурации
button-setting-show = Изменить
unit-per-core = { $n } на ядро
source-default = по умолчанию
source-file = из файла
source-environment = из окружения
source-command-line = из командной строки
source-chat = изменено в чате: { $who }, { $at }
unsettable-unknown = Настройки { $name } нет. Все настройки: /settings
unsettable-similar = Настройки { $name } нет. Возможно, { $similar }?
unsettable-secret = { $name } — секрет, ему не место в чате. Задайте его в файле, а сообщение со значением удалите.
unsettable-at-start = { $name } читается только при запуске. Измените в файле и перезапустите бота.
unsettable-by-command = { $name } меняет команда { $command }.
unsettable-value = «{ $found }» для { $name } не подходит. Нужно: { $expected }.
unsettable-value-missing = Для { $name } нужно значение. Слово «default» вернёт значение из конфигурации.
unsettable-value-hidden = Это значение для { $name } не подходит; оно похоже на секрет. Нужно: { $expected }.
expected-something = любое непустое
expected-boolean = true или false
expected-time-of-day = время суток, например 09:00
expected-whole = целое число, не меньше { $least }
expected-seconds = целое число секунд, не меньше { $least }
expected-seconds-at-most = секунды, не больше { $most } (год)
expected-days = целое число дней, от { $least } до { $most }
expected-per-core = число больше 0, например 7.0
expected-percent = процент больше 0, например 70
expected-reserve = процент не меньше 0 и меньше 100
expected-margin = процент памяти и нагрузка на ядро через запятую, например 0,0.10
expected-worth = доля ядер узла от 0 до 1, например 0.003
expected-one-of = одно из { $all }
expected-windows = время, например 22:00-06:00 или Mon-Fri 01:00-05:00, несколько через запятую
setting-target-over = { $target } больше { $overload }: узлы-получатели заполняются только до { $overload }
setting-nothing-moved = MAX_MIGRATIONS_PER_CYCLE равно 0: ни в одном плане не будет миграций
settings-at-start = Читаются только при запуске: TIMEZONE ({ $zone }), CLUSTER_IDS и настройки доступа к VMmanager, узлам и Telegram. По ним составлены открытые планы и указано время в сообщениях.
lang-name = Русский
lang-yours = Ответы вам: { $language }
lang-of-chat = Этот чат: { $language }
lang-default = Если не выбрано: { $language }
lang-not-chosen = не выбрано
lang-how = /lang en — язык ответов вам.
    /lang en chat — язык этого чата,
    меняет администратор.
rests-none = Нет ВМ, которые сейчас нельзя трогать.
rests-title = { $n ->
    [one] { $n } ВМ пока не трогаем:
    [few] { $n } ВМ пока не трогаем:
   *[many] { $n } ВМ пока не трогаем:
}
rests-more = … и ещё { $n }
rests-how = Закрытые узлы: /exclusions
rests-left = Осталось ВМ, которые не трогаем: { $n }, см. /rests
rest-ended = { $n ->
    [1] { $vm } снова можно перемещать.
   *[other] Снова можно перемещать { $n } ВМ: { $vm }.
}
rest-was-none = { $vm } и так можно перемещать.
rest-was-none-of = Эти ВМ и так можно перемещать: { $vm }.
refused-in-flight = Миграция ВМ { $vm } ещё не закончена, до её конца ВМ не трогаем.
failures-title = { $n ->
    [0] ✓ План { $plan }, { $cluster }: затянувшаяся миграция завершилась успешно
    [one] ⚠ План { $plan }, { $cluster }: проверьте { $n } миграцию
    [few] ⚠ План { $plan }, { $cluster }: проверьте { $n } миграции
   *[other] ⚠ План { $plan }, { $cluster }: проверьте { $n } миграций
}
copy-may-be-there = Выше может быть копия этого сообщения. Нажмите под ней любую кнопку или ответьте на неё, и она обновится.
looking = … Опрашиваю платформу
one-moment = … Минуту
answer-late = Ответ ждал очереди: состояние на { $at }
hand-taken = ✋ Занимается: { $who }, с { $at }
hand-snoozed = Отложено до { $until }: { $who }
alert-count = Повторений: { $n }
alert-earlier = Предыдущий сбой начался { $since } и длился { $lasts }
alert-away = ⚠ VMmanager недоступен с { $since }: { $why }.
alert-back = ✓ VMmanager снова отвечает с { $until }; был недоступен { $lasts }.
alert-shrank = ⚠ Кластер { $cluster }: ВМ было { $before }, стало { $after }. Ничего не делается, пока три опроса подряд не совпадут.
alert-foreign = ⚠ Идёт чужая миграция ВМ { $vm } в кластере { $cluster } (задача { $task }). До её конца новые там не запускаются.
alert-pulled = ⚠ Кто-то возвращает { $vm } назад: после миграций этого бота ({ $n }) она снова на { $node }{ $by }. Не трогаем её до { $until }. Проверьте, не двигает ли её встроенный балансировщик VMmanager или правило HA: отключите его или закрепите ВМ через PIN_VMS.
alert-pulled-by = , в последний раз её двигал { $who }
alert-foreign-anywhere = ⚠ Идёт чужая миграция ВМ { $vm } (задача { $task }); кластер неизвестен. До её конца новые нигде не запускаются.
alert-node-out = { $n ->
    [one] ⚠ Узел { $node } ({ $id }, кластер { $cluster }) не участвует до { $until }: не удалась { $n } миграция. /resume откроет его раньше.
    [few] ⚠ Узел { $node } ({ $id }, кластер { $cluster }) не участвует до { $until }: не удалось { $n } миграции. /resume откроет его раньше.
   *[many] ⚠ Узел { $node } ({ $id }, кластер { $cluster }) не участвует до { $until }: не удалось { $n } миграций. /resume откроет его раньше.
}
alert-cluster-stopped = { $n ->
    [one] ⚠ Автоматика в кластере { $cluster } ({ $id }) остановлена: не удалась { $n } миграция. Разберитесь, затем /resume.
    [few] ⚠ Автоматика в кластере { $cluster } ({ $id }) остановлена: не удалось { $n } миграции. Разберитесь, затем /resume.
   *[many] ⚠ Автоматика в кластере { $cluster } ({ $id }) остановлена: не удалось { $n } миграций. Разберитесь, затем /resume.
}
alert-cluster-stop-ends = Без неё она включится сама: { $until }.
alert-cluster-resumed = ✅ Автоматика в кластере { $cluster } ({ $id }) снова работает: остановка после неудач закончилась, кластер виден.
alert-host-key-revoked = ⚠ Ключ SSH узла { $node } ({ $id }) отозван: { $found }. Узел не измеряется.
alert-host-key = ⚠ Ключ SSH узла { $node } ({ $id }) не тот, что известен: ожидался { $expected }, найден { $found }. Узел не измеряется.
alert-host-key-known = Известный ключ — в { $file }, строка { $line }. Сверьте найденный на самом узле; если он верен, уберите старый: { $command }
alert-host-key-learned = Известный ключ был запомнен автоматически: { $file }, строка { $line }. Сверьте найденный на самом узле; если он верен, удалите эту строку, и при accept-new запомнится новый.
alert-host-key-revoked-in = Он отозван в { $file }, строка { $line }. Дайте узлу другой ключ.
alert-restored = ⚠ Хранилище бота повредилось и восстановлено из выгрузки { $at }; повреждённое лежит в { $dir }. Планы ждут подтверждения, пока администратор не отправит /resume.
alert-restored-empty = ⚠ Хранилище бота повредилось, а выгрузки, которую можно прочитать, нет: бот начинает с пустого; повреждённое лежит в { $dir }. Планы ждут подтверждения, пока администратор не отправит /resume.
alert-restored-whole = В выгрузке есть всё.
alert-restored-lost = { $n ->
    [one] Не хватает как минимум { $n } более поздней записи: завершённой миграции, ошибки, подтверждения или изменения настроек.
   *[other] Не хватает как минимум { $n } более поздних записей: завершённых миграций, ошибок, подтверждений и изменений настроек.
    } ВМ или узел с недавней ошибкой могут снова попасть в план.
alert-restored-unknown = Неизвестно, чего не хватает: могли пропасть более поздние завершённые миграции, ошибки и подтверждения.
alert-restored-switches-known = Пробный режим, режим работы, пауза, исключения и настройки из чата известны; где две записи расходятся, действует более строгая.
alert-restored-switches-exported = Пробный режим, режим работы, пауза, исключения и настройки из чата взяты из выгрузки; более поздние изменения неизвестны. Проверьте /status и /settings.
alert-restored-switches-unknown = Пробный режим, режим работы, пауза, исключения и настройки, заданные в чате, неизвестны; действует конфигурация. Проверьте /status и /settings.
alert-time-back = ⚠ Часы сервера ушли назад на { $by }: с { $before } на { $after }. По ним считаются паузы после миграций и ошибок; проверьте службу времени.
alert-time-ahead = ⚠ Часы сервера ушли вперёд на { $by }: с { $before } на { $after }. По ним считаются паузы после миграций и ошибок; проверьте службу времени.
alert-store = ⚠ Хранилище не записывается с { $since }: { $why }. Пока не запишется, миграций не будет; освободите место на диске.
alert-second-poller = ⚠ С { $since } обновления этого бота читает ещё одна программа: команды могут уходить ей. Остановите одну из двух.
reports-missing = Пока Telegram молчал, отчётов стало слишком много: без неудач { $quiet }, с неудачами { $troubled }. Они есть в /history.

# Слова бота по-русски о работах на узлах, об отложенных планах и об их отмене.

plan-begins = Начало в { $at }
plan-begins-in-window = Начало с открытием окна: { $at }
plan-held = ✗ Отложено, ничего не начато:
    { $why }.
    «Обновить» составит новый план.
round-title = { $n ->
    [one] Работы на { $n } узле:
    [few] Работы на { $n } узлах по очереди:
   *[many] Работы на { $n } узлах по очереди:
}
round-node-worked = ✓ { $node }: готово, { $who }, { $at }
round-node-skipped = » { $node }: пропущен, { $who }, { $at }
round-node-now = ▸ { $node }: { $forecast }
round-node-waits = · { $node }: { $forecast }
round-forecast-empty = пуст
round-plan = Узел, до которого дошла очередь,
    не принимает ВМ до вашего «готово».
round-nothing-to-move = ✓ Перемещать было нечего.
round-forecast-stay = останется { $n }
round-stopped = ■ Работы остановлены: { $who }.
    { $node } не принимает ВМ до /include.
round-over = ✓ Работы на узлах закончены.
round-goes-on = Дальше — план { $plan }.
round-empty = ✓ { $node } пуст: можно работать.
round-not-empty = ⚠ { $node } не пуст.
    Уберите или остановите оставшееся
    вручную и повторите
    или пропустите узел.
round-gone = ⚠ Узла { $node } в VMmanager больше нет.
    Пропустите его или остановите работы.
round-unseen = ⚠ Не удалось проверить { $node }.
    Повторите или пропустите узел.
round-cancelled = Работы на узлах остановлены: последним был план { $plan } ({ $cluster }).
round-several-clusters = Эти узлы из разных кластеров. Назовите узлы одного.
round-cannot-hold = ✗ Кластер этого не выдержит, поэтому ничего не начато. По очереди:
round-holds = { $node }: место есть для { $moved } из { $of } ВМ, { $memory }
plan-takes = Займёт около { $lasts }
plan-left = Осталось ~{ $lasts }
undo-plan = Отменяет сделанное планом { $plan }.
drain-plan = Освобождает { $node }.
    Он не принимает ВМ до /include.
drain-done = ✓ { $node } пуст: можно работать.
    Потом: /include { $node }
drain-not-done = ⚠ { $node } не пуст.
    Он не принимает ВМ до /include.
drain-gone = ⚠ Узла { $node } в VMmanager больше нет.
drain-unseen = ⚠ Не удалось проверить { $node }.
    Он не принимает ВМ до /include.
drain-came = ещё на узле: { $vm },
    появилась за это время
drain-stays = остаётся { $vm }:
whatif-drain-title = Если освободить { $node }, кластер { $cluster }:
whatif-drain-empty = ✓ ВМ на нём нет.
whatif-drain-all = ✓ С него уйдут { $vms }: { $migrations }, { $memory }
whatif-drain-some = ⚠ С него уйдут не все ВМ, { $moved } из { $of }: { $migrations }, { $memory }
whatif-drain-next = Ничего не меняется. План составит /drain { $node }
whatif-lose-title = Если откажет { $node }, кластер { $cluster }:
whatif-lose-none = ✓ Работающих ВМ на нём нет.
whatif-lose-all = { $n ->
    [one] ✓ Для { $n } работающей ВМ есть место на других узлах.
    [few] ✓ Для всех { $n } работающих ВМ есть место на других узлах.
   *[many] ✓ Для всех { $n } работающих ВМ есть место на других узлах.
}
whatif-lose-some = ⚠ Место на других узлах есть для { $placed } из { $of } работающих ВМ. Без места:
whatif-homeless = { $vm }: { $why }
whatif-over = ⚠ Порог будет превышен: { $node } ({ $over })
whatif-add-title = { $n ->
    [one] Ещё { $n } ВМ: { $size }, { $vcpus } vCPU, кластер { $cluster }:
    [few] Ещё { $n } ВМ, в каждой { $size }, { $vcpus } vCPU, кластер { $cluster }:
   *[many] Ещё { $n } ВМ, в каждой { $size }, { $vcpus } vCPU, кластер { $cluster }:
}
whatif-add-all = ✓ Место есть, но больше ни для одной.
whatif-add-more = { $n ->
    [one] ✓ Место есть, и ещё для { $n } такой ВМ.
    [few] ✓ Место есть, и ещё для { $n } таких ВМ.
   *[many] ✓ Место есть, и ещё для { $n } таких ВМ.
}
whatif-add-some = ⚠ Поместится { $fit } из { $of }, для { $missing } места нет.
whatif-add-closed = Не примут ни одной: { $why }
whatif-vcpus-guessed = Считаем по { $vcpus } vCPU: столько здесь в среднем у ВМ с такой памятью.
whatif-taker = { $node }: +{ $vms }, память { $before } → { $after } %
whatif-changes-nothing = Ничего не меняется.
drain-empty = { $node } уже пуст: ВМ на нём нет.
drain-stuck = Ни одна ВМ не может покинуть { $node }:
button-approve-window = Подтвердить, выполнить в окне
button-call-off = Отменить запуск
button-round-done = Готово, дальше
button-round-again = Повторить
button-round-skip = Пропустить
button-round-stop = Остановить работы
button-even-out = Выровнять кластер
button-undo = Вернуть как было
button-node-back = Узел вернулся: выровнять
verdict-round = Работы, узел { $number } из { $of }: { $node }
    освобождается, план { $plan }
verdict-round-hand = Работы, узел { $number } из { $of }: { $node }
    ждёт вашего решения, план { $plan }
verdict-begins = План { $plan } начнётся в { $at }
called-off = План { $plan } ({ $cluster }) снят: из него ещё ничего не начато.
nothing-waits = Ни один план не ждёт подтверждения.
at-approved = План { $plan } ({ $cluster }) подтверждён, начало в { $at }. Перед началом он будет проверен заново.
at-counted = План { $plan } ({ $cluster }), начало в { $at }.
which-waits = Какой план? Ждут: { $plans }.
refused-round = Работы на узлах с тех пор продолжились или закончены: смотрите последнее сообщение.
refused-held = Отложено: { $why }. Решение не принято; повторите, когда это закончится.
refused-undo = Из плана { $plan } вернуть нечего. { $why }
held-cluster = Отложено: в { $cluster } сейчас ничего не делается: { $why }.
press-approved-later = Подтверждено: план начнётся в { $at }.
press-round-next = Работы продолжает план { $plan }.
press-round-stopped = Работы на узлах остановлены.
press-even-out = План { $plan } выровняет кластер, когда его подтвердят.
press-undo = План { $plan } вернёт всё как было, когда его подтвердят.
